export * from './pool.ts';
export * from './session.ts';
