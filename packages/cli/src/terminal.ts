import { type ErrorCode, remedies, toTierwiseError } from '@tierwise/core';

/** Where a command writes: results to stdout, everything else to stderr. */
export interface Terminal {
  /** One object on stdout with `--json`, else the lines that `text` makes of it. */
  result<T>(value: T, text: (value: T) => string): void;
  /** A line for people on stderr; nothing with `--json`. */
  note(line: string): void;
  /** The state of long work on one line: rewritten on a terminal, every ten seconds elsewhere. */
  progress(line: string): void;
}

const progressEveryMs = 10_000;

export function createTerminal(options: { json: boolean }): Terminal {
  const { stdout, stderr } = process;
  // Work that is over within a second needs no progress.
  let shownAt = performance.now() + (stderr.isTTY ? 1000 : 0);
  let open = false;
  const closeLine = () => {
    if (open) stderr.write('\n');
    open = false;
  };
  return {
    result(value, text) {
      closeLine();
      stdout.write(options.json ? `${JSON.stringify(value)}\n` : `${text(value)}\n`);
    },
    note(line) {
      closeLine();
      if (!options.json) stderr.write(`${line}\n`);
    },
    progress(line) {
      const now = performance.now();
      if (stderr.isTTY) {
        if (now - shownAt < 100) return;
        stderr.write(`\r${line.slice(0, (stderr.columns ?? 80) - 1)}\u001b[K`);
        open = true;
      } else {
        if (now - shownAt < progressEveryMs) return;
        stderr.write(`${line}\n`);
      }
      shownAt = now;
    },
  };
}

/** Exit status of a failed command: 130 when it was cancelled, 2 for wrong usage, else 1. */
function exitStatus(code: ErrorCode): number {
  if (code === 'CANCELLED') return 130;
  return code === 'USAGE' ? 2 : 1;
}

/** Ends a command that failed: one readable line with what to do, or one object with `--json`. */
export function fail(error: unknown, options: { json: boolean }): void {
  const { code, message } = toTierwiseError(error);
  if (options.json)
    process.stdout.write(`${JSON.stringify({ error: message, code, remedy: remedies[code] })}\n`);
  process.stderr.write(
    `tierwise: ${message}\n${code === 'CANCELLED' ? '' : `          ${remedies[code]} (${code})\n`}`,
  );
  if (code === 'INTERNAL' && process.env['TIERWISE_DEBUG'] && error instanceof Error)
    process.stderr.write(`${error.stack}\n`);
  process.exitCode = exitStatus(code);
}

/** 1234567 as "1.23 MB"; decimal units. */
export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toPrecision(3)} kB` : `${(bytes / 1e6).toPrecision(3)} MB`;
}

/** Seconds as "45 s" or "3 min 20 s". */
export function secondsText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

/** Rows as columns of equal width, two spaces apart; numbers to the right. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const cells = rows.map((row) =>
    row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : cell)),
  );
  const widths = cells.reduce<number[]>(
    (all, row) => row.map((cell, i) => Math.max(all[i] ?? 0, cell.length)),
    [],
  );
  return cells
    .map((row, r) =>
      row
        .map((cell, i) =>
          typeof rows[r]![i] === 'number' ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
