/**
 * Slows processes down by a CPU quota of a control group, which reaches every thread of them, workers included.
 * Version 1 (`cpu.cfs_*`) and version 2 (`cpu.max`); needs a hierarchy that this user may write.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** Length of a period in microseconds when all of it may be used; short ones keep the slowed page smooth. */
const quotaUs = 1000;

export interface CpuGroup {
  /** 1 or 2. */
  readonly version: number;
  /** Moves processes, their later children included, into the group. One that is gone is left out. */
  add(pids: readonly number[]): void;
  /** Moves everything back and removes the group, which must wait for processes that are just ending. */
  remove(): Promise<void>;
}

/** A group whose processes together get 1 / `factor` of one core; undefined where no group can be made. */
export function createCpuGroup(factor: number): CpuGroup | undefined {
  for (const { version, root } of hierarchies()) {
    const folder = join(root, `tierwise-bench-${process.pid}`);
    try {
      if (version === 2) writeFileSync(join(root, 'cgroup.subtree_control'), '+cpu');
      mkdirSync(folder);
    } catch {
      continue;
    }
    try {
      const periodUs = Math.round(quotaUs * factor);
      if (version === 1) {
        writeFileSync(join(folder, 'cpu.cfs_period_us'), `${periodUs}`);
        writeFileSync(join(folder, 'cpu.cfs_quota_us'), `${quotaUs}`);
      } else writeFileSync(join(folder, 'cpu.max'), `${quotaUs} ${periodUs}`);
      return groupIn(version, root, folder);
    } catch {
      rmdirSync(folder);
    }
  }
  return undefined;
}

function groupIn(version: number, root: string, folder: string): CpuGroup {
  const move = (group: string, pids: readonly number[]) => {
    for (const pid of pids) {
      try {
        writeFileSync(join(group, 'cgroup.procs'), `${pid}`);
      } catch {
        // It has ended since.
      }
    }
  };
  return {
    version,
    add: (pids) => move(folder, pids),
    async remove() {
      for (let attempt = 1; ; attempt++) {
        const inside = readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean);
        move(root, inside.map(Number));
        try {
          return rmdirSync(folder);
        } catch (error) {
          if (attempt === 100) throw error;
          await setTimeout(20);
        }
      }
    },
  };
}

/** Where control groups with a CPU quota are mounted. */
function hierarchies(): { version: number; root: string }[] {
  if (!existsSync('/proc/mounts')) return [];
  return readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, root = '', kind, flags = ''] = line.split(' ');
      if (kind === 'cgroup' && flags.split(',').includes('cpu')) return [{ version: 1, root }];
      if (kind === 'cgroup2' && existsSync(join(root, 'cgroup.controllers'))) {
        const controllers = readFileSync(join(root, 'cgroup.controllers'), 'utf8').trim().split(' ');
        if (controllers.includes('cpu')) return [{ version: 2, root }];
      }
      return [];
    });
}
