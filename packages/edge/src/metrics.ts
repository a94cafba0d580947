import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type TransportName = 'http' | 'websocket';

/** One inference request, from its last byte in to its answer. */
export interface Observation {
  /** '' when the request named no model that is served here. */
  readonly model: string;
  readonly transport: TransportName;
  /** `ok`; `repeated` for an answer that was computed before; or the code of the error it was answered with. */
  readonly outcome: string;
  readonly requestMs: number;
  readonly uplinkBytes: number;
  /** Absent when nothing was run. */
  readonly timings?: { readonly queueMs: number; readonly computeMs: number };
}

/** What a device told beside a sample that was answered. */
export interface Told {
  readonly model: string;
  /** Samples in the request. */
  readonly samples: number;
  /** Samples that it answered itself since it last told. */
  readonly deviceExits: number;
  /** The normalised entropy of its branch, whether the whole network agrees, and whether an audit is why it came. */
  readonly branch?: { readonly entropy: number; readonly agrees: boolean; readonly audit: boolean };
  /** What this edge took, over what the device's Plan predicted. */
  readonly predictionRatio?: number;
}

/** What the edge counts, in a registry of its own. Base units: seconds and bytes. */
export interface Metrics {
  observe(observation: Observation): void;
  tell(told: Told): void;
  /** One run of a worker. */
  ran(samples: number): void;
  /** In the Prometheus text format. */
  text(): Promise<string>;
  readonly contentType: string;
}

/** What the edge is asked for at each scrape. */
export interface Gauges {
  readonly current: number;
  readonly kept: number;
  readonly refused: number;
  readonly queued: number;
  readonly running: number;
  readonly connections: number;
}

/** Where requests take from half a millisecond to ten seconds. */
const secondsBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Gauges of prom-client whose names end as those of counters do. */
const misnamed = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

export function createMetrics(gauges: () => Gauges): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  for (const name of misnamed) registry.removeSingleMetric(name);
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name, help, labelNames, registers });
  const histogram = (name: string, help: string, labelNames: string[], buckets: number[]) =>
    new Histogram({ name, help, labelNames, buckets, registers });
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });

  const requests = counter(
    'tierwise_requests_total',
    'Inference requests answered; outcome is ok, repeated or an error code.',
    ['model', 'transport', 'outcome'],
  );
  const exits = counter(
    'tierwise_exits_total',
    'Samples by where they were answered; those of devices as devices report them.',
    ['model', 'tier'],
  );
  const uplinkBytes = counter(
    'tierwise_uplink_bytes_total',
    'Bytes of inference requests as they arrived, headers of HTTP not counted.',
    ['model', 'transport'],
  );
  const requestSeconds = histogram(
    'tierwise_request_seconds',
    'Time from the whole request to its answer, waiting included.',
    ['model', 'transport'],
    secondsBuckets,
  );
  const queueSeconds = histogram(
    'tierwise_queue_seconds',
    'Time a request waited for a worker.',
    ['model'],
    secondsBuckets,
  );
  const computeSeconds = histogram(
    'tierwise_compute_seconds',
    'Time a worker computed for a request, together with those it was joined with.',
    ['model'],
    secondsBuckets,
  );
  const branchEntropy = histogram(
    'tierwise_branch_entropy_ratio',
    'Normalised entropy of the branch for samples that came here; agrees tells whether the whole network says the same.',
    ['model', 'audit', 'agrees'],
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1],
  );
  const predictionRatio = histogram(
    'tierwise_prediction_ratio',
    'Measured time at this edge over what the Plan of the device predicted.',
    ['model'],
    [0.1, 0.25, 0.5, 0.8, 1, 1.25, 2, 4, 10, 100],
  );
  const runSamples = histogram(
    'tierwise_run_samples',
    'Samples that one run of a worker held.',
    [],
    [1, 2, 4, 8, 16, 32, 64, 128, 256],
  );
  new Gauge({
    name: 'tierwise_models',
    help: 'Bundles: current, kept for pages that still have them, and refused.',
    labelNames: ['state'],
    registers,
    collect() {
      const { current, kept, refused } = gauges();
      for (const [state, count] of Object.entries({ current, kept, refused })) this.set({ state }, count);
    },
  });
  gauge('tierwise_queued_runs', 'Runs that wait for a worker now.', () => gauges().queued);
  gauge('tierwise_busy_workers', 'Workers that compute now.', () => gauges().running);
  gauge('tierwise_websocket_connections', 'Open WebSocket connections.', () => gauges().connections);

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    ran: (samples) => runSamples.observe(samples),
    observe({ model, transport, outcome, requestMs, uplinkBytes: bytes, timings }) {
      requests.inc({ model, transport, outcome });
      requestSeconds.observe({ model, transport }, requestMs / 1000);
      uplinkBytes.inc({ model, transport }, bytes);
      if (timings === undefined) return;
      queueSeconds.observe({ model }, timings.queueMs / 1000);
      computeSeconds.observe({ model }, timings.computeMs / 1000);
    },
    tell({ model, samples, deviceExits, branch, predictionRatio: ratio }) {
      if (deviceExits > 0) exits.inc({ model, tier: 'device' }, deviceExits);
      // The device has answered an audited sample already.
      if (branch?.audit !== true) exits.inc({ model, tier: 'edge' }, samples);
      if (branch !== undefined) {
        const { entropy, agrees, audit } = branch;
        branchEntropy.observe({ model, audit: String(audit), agrees: String(agrees) }, entropy);
      }
      if (ratio !== undefined) predictionRatio.observe({ model }, ratio);
    },
  };
}
