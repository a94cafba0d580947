import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { TierwiseError } from '@tierwise/core';

/** Where browsers usually are, best first. */
function usualPaths(): string[] {
  const { env, platform } = process;
  if (platform === 'darwin') {
    const names = ['Google Chrome', 'Chromium', 'Microsoft Edge'];
    return ['/Applications', join(homedir(), 'Applications')].flatMap((folder) =>
      names.map((name) => join(folder, `${name}.app`, 'Contents', 'MacOS', name)),
    );
  }
  if (platform === 'win32') {
    const folders = [env['PROGRAMFILES'], env['PROGRAMFILES(X86)'], env['LOCALAPPDATA']].filter(
      (folder) => folder !== undefined,
    );
    const programs = ['Google/Chrome/Application/chrome.exe', 'Microsoft/Edge/Application/msedge.exe'];
    return programs.flatMap((program) => folders.map((folder) => join(folder, program)));
  }
  const names = ['chromium', 'google-chrome', 'google-chrome-stable', 'chromium-browser', 'microsoft-edge'];
  const folders = (env['PATH'] ?? '').split(delimiter).filter(Boolean);
  return names.flatMap((name) => folders.map((folder) => join(folder, name)));
}

/** Whether `path` is a browser that starts. Ubuntu's chromium-browser is a stub that only asks for its snap. */
function starts(path: string): boolean {
  if (!existsSync(path) || !statSync(path).isFile()) return false;
  return process.platform !== 'linux' || spawnSync(path, ['--version'], { timeout: 60_000 }).status === 0;
}

/**
 * Path of Chrome, Chromium or Edge on this machine: `CHROME_PATH`, else where they usually are; undefined when
 * there is none.
 * @throws TierwiseError USAGE when CHROME_PATH is set to something that is not a browser
 */
export function findChrome(): string | undefined {
  const chosen = process.env['CHROME_PATH'];
  if (!chosen) return usualPaths().find(starts);
  if (starts(chosen)) return chosen;
  throw new TierwiseError('USAGE', `CHROME_PATH is ${chosen}, which is not a browser that starts here`);
}
