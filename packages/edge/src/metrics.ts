import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type TransportName = 'http' | 'websocket';

/** One inference request, from its last byte in to its answer. */
export interface Observation {
  /** '' when the request named no model that is served here. */
  readonly model: string;
  readonly transport: TransportName;
  /** `ok`, or the code of the error it was answered with. */
  readonly outcome: string;
  readonly requestMs: number;
  readonly uplinkBytes: number;
  /** Absent when nothing was run. */
  readonly timings?: { readonly queueMs: number; readonly computeMs: number };
}

/** What the edge counts, in a registry of its own. Base units: seconds and bytes. */
export interface Metrics {
  observe(observation: Observation): void;
  /** In the Prometheus text format. */
  text(): Promise<string>;
  readonly contentType: string;
}

/** Where requests take from half a millisecond to ten seconds. */
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** `gauges` is asked at each scrape. */
export function createMetrics(
  gauges: () => { served: number; refused: number; queued: number; connections: number },
): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const requests = new Counter({
    name: 'tierwise_requests_total',
    help: 'Inference requests answered; outcome is ok or an error code.',
    labelNames: ['model', 'transport', 'outcome'],
    registers,
  });
  const histogram = (name: string, help: string, labelNames: string[]) =>
    new Histogram({ name, help, labelNames, buckets, registers });
  const requestSeconds = histogram(
    'tierwise_request_seconds',
    'Time from the whole request to its answer, waiting included.',
    ['model', 'transport'],
  );
  const queueSeconds = histogram('tierwise_queue_seconds', 'Time a request waited for a worker.', ['model']);
  const computeSeconds = histogram('tierwise_compute_seconds', 'Time a worker computed for a request.', [
    'model',
  ]);
  const uplinkBytes = new Counter({
    name: 'tierwise_uplink_bytes_total',
    help: 'Bytes of inference requests as they arrived, headers of HTTP not counted.',
    labelNames: ['model', 'transport'],
    registers,
  });
  new Gauge({
    name: 'tierwise_models',
    help: 'Bundles in the models folder, by whether they are served.',
    labelNames: ['state'],
    registers,
    collect() {
      this.set({ state: 'served' }, gauges().served);
      this.set({ state: 'refused' }, gauges().refused);
    },
  });
  new Gauge({
    name: 'tierwise_queued_runs',
    help: 'Runs that wait for a worker now.',
    registers,
    collect() {
      this.set(gauges().queued);
    },
  });
  new Gauge({
    name: 'tierwise_websocket_connections',
    help: 'Open WebSocket connections.',
    registers,
    collect() {
      this.set(gauges().connections);
    },
  });

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    observe({ model, transport, outcome, requestMs, uplinkBytes: bytes, timings }) {
      requests.inc({ model, transport, outcome });
      requestSeconds.observe({ model, transport }, requestMs / 1000);
      uplinkBytes.inc({ model, transport }, bytes);
      if (timings === undefined) return;
      queueSeconds.observe({ model }, timings.queueMs / 1000);
      computeSeconds.observe({ model }, timings.computeMs / 1000);
    },
  };
}
