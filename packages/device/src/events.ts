/** Listeners by event. Each hears every event in order, later than the code that emits it. */
export interface Events<Map> {
  on<K extends keyof Map>(event: K, listener: (detail: Map[K]) => void): () => void;
  emit<K extends keyof Map>(event: K, detail: Map[K]): void;
}

export function createEvents<Map>(): Events<Map> {
  const entries = new Set<{ event: keyof Map; call: (detail: never) => void }>();
  return {
    on(event, listener) {
      const entry = { event, call: listener };
      entries.add(entry);
      return () => entries.delete(entry);
    },
    emit(event, detail) {
      for (const entry of entries) {
        if (entry.event !== event) continue;
        // In a task of its own, so that a listener that throws reports its fault and breaks nothing here.
        queueMicrotask(() => {
          if (entries.has(entry)) entry.call(detail as never);
        });
      }
    },
  };
}
