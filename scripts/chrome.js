// The browser that the browser tests drive; installed when the machine has none and allows it.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { findChrome } from '../packages/cli/dist/chrome.js';

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
 * Path of a browser.
 * @throws Error with one sentence that says what to do
 */
export function needChrome() {
  let found = findChrome();
  if (found === undefined) {
    install();
    found = findChrome();
  }
  if (found !== undefined) return found;
  throw new Error(
    'The browser tests need Chrome or Chromium: install one, or set CHROME_PATH to its executable file.',
  );
}
