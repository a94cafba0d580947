import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createCpuGroup } from './cgroup.ts';

test('a process is in the group until it is removed, or there is no group', async () => {
  const group = createCpuGroup(4);
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  try {
    const groupsOfChild = () =>
      existsSync(`/proc/${child.pid}/cgroup`) ? readFileSync(`/proc/${child.pid}/cgroup`, 'utf8') : '';
    const name = `tierwise-bench-${process.pid}`;
    // A process that has ended, here one that never was, is left out.
    group?.add([child.pid!, 2 ** 30]);
    expect(groupsOfChild().includes(name)).toBe(group !== undefined);
    await group?.remove();
    expect(groupsOfChild()).not.toContain(name);
    expect(child.exitCode).toBeNull();
  } finally {
    const gone = once(child, 'exit');
    child.stdin.end();
    await gone;
  }
});
