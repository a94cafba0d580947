import { elementCount } from '@tierwise/core';
import type { Context, Prediction, Profile } from './contracts.ts';
import type { CodecPolicy, Port } from './manifest.ts';

/**
 * Bytes of a tensor on the wire before its header and before LZ4, so an upper bound but for the header:
 * 4 a value raw, `bits` / 8 a value packed.
 */
export function encodedBytes({ dims }: Port, codec: CodecPolicy): number {
  const elements = elementCount(dims);
  return codec.kind === 'raw' ? 4 * elements : Math.ceil((elements * codec.bits) / 8);
}

/** One direction of a link in ms: 8 * bytes / rate + half a round trip. `bitsPerSecond` > 0. */
export function transferMs(bytes: number, bitsPerSecond: number, roundTripMs: number): number {
  return (8000 * bytes) / bitsPerSecond + roundTripMs / 2;
}

/** What one sample costs in a Plan that may cross from the device to the edge once. */
export interface Work {
  /** Floating-point operations of a sample on the device, and on the edge when it gets there. */
  readonly deviceFlops: number;
  readonly edgeFlops: number;
  /** Bytes up of a sample that crosses. */
  readonly uplinkBytes: number;
  /** Classes: the result comes back as float32 scores. */
  readonly classes: number;
  /** Share of samples that never leave the device, 0..1. */
  readonly exitRate: number;
  readonly downloadBytes: number;
}

/**
 * Expected time of one warm sample:
 *
 *     T_tx = 8 D / Bu + rtt / 2            D bytes up
 *     T_rx = 8 * 4 C / Bd + rtt / 2        C float32 scores down
 *     latency = T_device + (1 - exitRate) * (T_tx + T_rx + T_edge)
 *
 * Times of the places are operations over measured speed. Queueing and encoding are not in it; a runtime reports
 * both, so that the difference shows.
 *
 * Source: the formulas common to Neurosurgeon (ASPLOS 2017) and its successors, and LcDNN (IEEE TMC, doi
 * 10.1109/TMC.2020.3043051) eq. 11-13. Deviations: the result's way back is counted, and the exit rate is the
 * measured one where LcDNN takes branch accuracy / main accuracy.
 */
export function predict(work: Work, profile: Profile, context: Context): Prediction {
  const crosses = work.exitRate < 1;
  const deviceMs = (1000 * work.deviceFlops) / profile.deviceFlopsPerSecond;
  const edgeMs = crosses ? (1000 * work.edgeFlops) / profile.edgeFlopsPerSecond : 0;
  const linkMs = crosses
    ? transferMs(work.uplinkBytes, context.uplinkBitsPerSecond, context.roundTripMs) +
      transferMs(4 * work.classes, context.downlinkBitsPerSecond, context.roundTripMs)
    : 0;
  return {
    latencyMs: deviceMs + (1 - work.exitRate) * (linkMs + edgeMs),
    deviceMs,
    linkMs,
    edgeMs,
    uplinkBytes: crosses ? work.uplinkBytes : 0,
    downloadBytes: work.downloadBytes,
    exitRate: work.exitRate,
  };
}
