import { defineConfig } from 'vitest/config';

// Packages are tested from their sources; worker files that Node starts by path come from dist, so build first.
const conditions = ['@tierwise/source', 'node', 'default'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: [
      'packages/*/src/**/*.test.ts',
      'packages/*/test/**/*.test.ts',
      'apps/*/test/**/*.test.ts',
      'bench/src/**/*.test.ts',
      'scripts/**/*.test.ts',
    ],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // The usual second is a claim about time, which a busy machine breaks.
    expect: { poll: { timeout: 30_000 } },
  },
});
