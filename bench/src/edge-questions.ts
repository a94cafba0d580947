import { tensor } from '@tierwise/core';
import { type Context, type Profile, type Requirement, type StrategyName, strategies } from '@tierwise/plan';
import { encodeBody, encodeFrame, type InferRequest, pack } from '@tierwise/wire';
import type { Digits } from './digits.ts';
import { keyPlaceholder } from './edge-client.ts';

/** What is sent for a sample: the stem's output or the pixels as their Plan packs them, pixels in float32 or in JSON. */
export type Sends = 'packedStem' | 'packedPixels' | 'floatPixels' | 'jsonPixels' | 'plainPixels';

/** Every digit as a whole request: a frame, or HTTP with its head. */
export function questionsFor(sends: Sends, digits: Digits): Uint8Array[] {
  const { pixels, stems } = digits;
  switch (sends) {
    case 'packedStem':
      return stems.map((stem) => frame('lcdnn', stem, digits));
    case 'packedPixels':
      return pixels.map((picture) => frame('edge-only', picture, digits));
    case 'floatPixels':
      return pixels.map((picture) => protocol(picture, digits, false));
    case 'jsonPixels':
      return pixels.map((picture) => protocol(picture, digits, true));
    case 'plainPixels':
      return pixels.map(({ data }) => post('/', [], Buffer.from(JSON.stringify({ pixels: [...data] }))));
    default:
      return sends satisfies never;
  }
}

type Sample = Digits['pixels'][number];

/** What Plans are made for here: they are the same for all sensible numbers. */
export const assumed = {
  profile: { deviceFlopsPerSecond: 2e9, edgeFlopsPerSecond: 2e10, exitRate: 0.9 },
  context: {
    uplinkBitsPerSecond: 1e7,
    downlinkBitsPerSecond: 1e7,
    roundTripMs: 10,
    edge: true,
    resident: [],
  },
  requirement: { objective: 'latency' as const, rawInputMayLeave: true },
} satisfies { profile: Profile; context: Context; requirement: Requirement };

/** What a page sends that follows the Plan of `strategy` and was not sure. */
function frame(strategy: StrategyName, sample: Sample, { manifest }: Digits): Uint8Array {
  const { plan } = strategies[strategy](manifest, assumed.profile, assumed.context, assumed.requirement);
  const section = plan.sections.at(-1)!;
  const [link] = plan.links.filter(({ to }) => to === section.id);
  const bytes = pack(sample, link!.codec);
  return encodeFrame({
    kind: 'request',
    modelName: section.model,
    id: '1',
    parameters: {
      plan: plan.id,
      section: section.id,
      predictedMs: plan.predicted.edgeMs,
      ...(strategy === 'lcdnn' ? { entropy: 0.5, branchClass: 1 } : {}),
      key: keyPlaceholder,
      deadlineMs: 5000,
    },
    inputs: new Map([[link!.tensors[0]!, tensor('uint8', [bytes.length], bytes)]]),
    outputs: [],
  });
}

function protocol(picture: Sample, { manifest }: Digits, asJson: boolean): Uint8Array {
  const request: InferRequest = {
    kind: 'request',
    modelName: '',
    id: '',
    parameters: { binary_data_output: !asJson },
    inputs: new Map([[manifest.input.tensor, picture]]),
    outputs: [],
  };
  const { bytes, jsonLength } = encodeBody(request, { asJson: () => asJson });
  const binary = asJson ? [] : [`Inference-Header-Content-Length: ${jsonLength}`];
  return post(`/v2/models/${manifest.name}/infer`, binary, bytes);
}

function post(path: string, headers: readonly string[], body: Uint8Array): Uint8Array {
  const head = [`POST ${path} HTTP/1.1`, 'Host: edge', ...headers, `Content-Length: ${body.length}`];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
}
