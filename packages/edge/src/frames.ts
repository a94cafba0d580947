import { TierwiseError, toTierwiseError } from '@tierwise/core';
import { decodeFrame, encodeFrame, failureOf, type InferRequest } from '@tierwise/wire';
import type { FastifyBaseLogger } from 'fastify';
import type { Arrival, InferenceService } from './service.ts';

export interface FrameArrival extends Pick<Arrival, 'transport' | 'abort'> {
  /** Throws to refuse a request that could be read. */
  readonly check?: () => void;
  readonly log: FastifyBaseLogger;
}

/** The frame that answers the one in `bytes`; it always is one, and a failure when `error` is given. */
export async function answerFrame(
  service: InferenceService,
  bytes: Uint8Array,
  { transport, abort, check, log }: FrameArrival,
): Promise<{ readonly frame: Uint8Array<ArrayBuffer>; readonly error?: TierwiseError }> {
  const parse = (): InferRequest => {
    const message = decodeFrame(bytes);
    if (message.kind !== 'request') {
      throw new TierwiseError('REQUEST_INVALID', `a ${message.kind} was sent where a request is expected`);
    }
    check?.();
    return message;
  };
  try {
    return {
      frame: encodeFrame(await service.answer(parse, { transport, uplinkBytes: bytes.length, abort })),
    };
  } catch (thrown) {
    const error = toTierwiseError(thrown);
    if (error.code === 'INTERNAL') log.error({ err: error.cause ?? error }, error.message);
    return { frame: failureFrame(error, bytes), error };
  }
}

/** Tells the sender of `bytes` what is wrong, under its id as far as that can be read. */
export function failureFrame(error: TierwiseError, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeFrame(failureOf(error, readId(bytes)));
}

/** The id in a header that may break the protocol otherwise, so that its sender learns of the failure; or ''. */
function readId(bytes: Uint8Array): string {
  try {
    const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
    const json: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
    const id = typeof json === 'object' && json !== null && 'id' in json ? json.id : undefined;
    return typeof id === 'string' ? id.slice(0, 128) : '';
  } catch {
    return '';
  }
}
