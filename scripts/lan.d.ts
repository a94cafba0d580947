export function lanAddresses(): string[];
export function lend(
  url: string,
  port?: number,
): Promise<{ readonly urls: readonly string[]; readonly port: number; close(): void }>;
