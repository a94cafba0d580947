// Finds the browser that the browser tests drive: Chrome or Chromium, from this machine.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Where browsers usually are, best first. */
function usualPaths() {
  const { env, platform } = process;
  if (platform === 'darwin') {
    const names = ['Google Chrome', 'Chromium', 'Microsoft Edge'];
    return ['/Applications', join(homedir(), 'Applications')].flatMap((folder) =>
      names.map((name) => join(folder, `${name}.app`, 'Contents', 'MacOS', name)),
    );
  }
  if (platform === 'win32') {
    const folders = [env['PROGRAMFILES'], env['PROGRAMFILES(X86)'], env['LOCALAPPDATA']].filter(Boolean);
    const programs = ['Google/Chrome/Application/chrome.exe', 'Microsoft/Edge/Application/msedge.exe'];
    return programs.flatMap((program) => folders.map((folder) => join(folder, program)));
  }
  const names = ['chromium', 'google-chrome', 'google-chrome-stable', 'chromium-browser', 'microsoft-edge'];
  const folders = (env['PATH'] ?? '').split(delimiter).filter(Boolean);
  return names.flatMap((name) => folders.map((folder) => join(folder, name)));
}

/** Whether `path` is a browser that starts. Ubuntu's chromium-browser is a stub that only asks for its snap. */
function starts(path) {
  if (!existsSync(path) || !statSync(path).isFile()) return false;
  return process.platform !== 'linux' || spawnSync(path, ['--version'], { timeout: 60_000 }).status === 0;
}

/** Chromium from the distribution, where that can be had without asking anybody: Debian and its kin, as root. */
function install() {
  if (!existsSync('/etc/debian_version') || process.getuid?.() !== 0) return;
  process.stderr.write('Installing Chromium with apt-get, once; this takes a minute or two ...\n');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = ['-qq', '-o', 'Acquire::Retries=3', '-o', 'DPkg::Lock::Timeout=300'];
  for (const command of [['update'], ['install', '-y', '--no-install-recommends', 'chromium']]) {
    const done = spawnSync('apt-get', [...options, ...command], { env, encoding: 'utf8' });
    if (done.status !== 0)
      process.stderr.write(`apt-get ${command[0]}: ${done.stderr || done.error?.message}\n`);
  }
}

/**
 * Path of a browser, which is installed when the machine has none and allows it.
 * @throws Error with one sentence that says what to do
 */
export function findChrome() {
  const chosen = process.env['CHROME_PATH'];
  if (chosen) {
    if (starts(chosen)) return chosen;
    throw new Error(`CHROME_PATH is ${chosen}, which is not a browser that starts here.`);
  }
  const found = usualPaths().find(starts);
  if (found) return found;
  install();
  const installed = usualPaths().find(starts);
  if (installed) return installed;
  throw new Error(
    'The browser tests need Chrome or Chromium: install one, or set CHROME_PATH to its executable file.',
  );
}
