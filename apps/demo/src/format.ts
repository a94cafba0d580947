/** Numbers as people read them; a thin space parts thousands and a no-break space the unit. */

/** `10 000`. */
export function formatCount(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, '\u2009');
}

/** `412 B`, `61.7 kB`, `1.7 MB`; decimal units, as links are measured. */
export function formatBytes(bytes: number): string {
  if (bytes < 10_000) return `${formatCount(bytes)}\u00a0B`;
  if (bytes < 1_000_000) return `${(bytes / 1_000).toFixed(1)}\u00a0kB`;
  return `${(bytes / 1_000_000).toFixed(1)}\u00a0MB`;
}

/** `0.4 ms`, `12 ms`, `3 041 ms`: one decimal where the clock of a browser (0.1 ms at best) can tell. */
export function formatMs(ms: number): string {
  return `${ms < 10 ? Math.max(0, ms).toFixed(1) : formatCount(ms)}\u00a0ms`;
}

/** An entropy or a threshold in 0..1 with two significant digits; below the scale's end only that it is less. */
export function formatEntropy(value: number): string {
  if (value < 1e-5) return value === 0 ? '0' : '< 0.00001';
  return value >= 0.995
    ? '1'
    : value.toFixed(Math.max(2, 1 - Math.floor(Math.log10(value)))).replace(/(\.\d\d+?)0+$/, '$1');
}

/** `98.7 %`; never a rounded-up 100. */
export function formatPercent(share: number): string {
  return `${Math.min(share === 1 ? 100 : 99.9, share * 100).toFixed(1)}\u00a0%`;
}
