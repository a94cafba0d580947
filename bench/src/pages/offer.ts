/** Makes `work` what the harness calls, from outside the page. Input and result are plain data. */
export function offer<Input, Output>(work: (input: Input) => Promise<Output>): void {
  Object.assign(globalThis, { bench: work });
}
