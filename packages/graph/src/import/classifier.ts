import { create } from '@bufbuild/protobuf';
import { TierwiseError, tensor } from '@tierwise/core';
import { type ModelProto, NodeProtoSchema } from 'onnx-buf';
import { attrInt, intAttribute } from '../attributes.ts';
import { changed } from '../changed.ts';
import { nodeLabel } from '../check.ts';
import { flowOf, graphOf } from '../flow.ts';
import { inferShapes } from '../shapes.ts';
import { toTensorProto } from '../tensors.ts';
import { statedDims } from '../value-info.ts';
import { openBatch } from './batch.ts';
import { cancelTransposes, channelsFirst } from './layout.ts';
import { foldPads } from './pads.ts';
import { plainInput } from './plain-input.ts';
import { findScores, withScores } from './scores.ts';
import { upgrade } from './upgrade.ts';
import { widened } from './widen.ts';

/** What the file of a network does not say. */
export interface ImportOptions {
  /** Which of the network's tensors are the scores, where it has several outputs. */
  readonly output?: string | undefined;
  /** Height and width of the pictures, where the network leaves them open. */
  readonly size?: { readonly height: number; readonly width: number } | undefined;
  /** The network takes blue first: its first convolution is turned around, so that it takes red first. */
  readonly bgr?: boolean | undefined;
}

/** A classifier of pictures in the one form that branches are attached to. */
export interface Classifier {
  /** Opset 21 or later, batch open, NCHW in, one output: scores before softmax, [N, classes]. */
  readonly model: ModelProto;
  /** Dims for one sample: [1, 1 or 3, h, w]. */
  readonly input: { readonly tensor: string; readonly dims: readonly [1, 1 | 3, number, number] };
  readonly scores: { readonly tensor: string; readonly classes: number };
  /** What was changed on the way, a line each, for people. */
  readonly notes: readonly string[];
}

function unsupported(message: string, details: Record<string, string> = {}): TierwiseError {
  return new TierwiseError('MODEL_UNSUPPORTED', message, details);
}

/**
 * Brings an image classifier of anybody's into one form: newer operators, NCHW, an open batch, and its scores before
 * softmax as the only output. The given model is not changed.
 * @throws TierwiseError MODEL_UNSUPPORTED saying why a network is no image classifier, or naming the node that stands in
 *   the way; USAGE when several outputs could be the scores or the size of the pictures is open
 */
export function importClassifier(given: ModelProto, options: ImportOptions = {}): Classifier {
  const wide = widened(given);
  const { model, notes } = plainInput(wide ?? given);
  if (wide) notes.unshift('its float16 numbers are float32 now');
  const picture = pictureInput(model, options);
  let now = upgrade(model, { inputs: { [picture.name]: picture.dims } });
  if (picture.isNhwc) {
    now = channelsFirst(now, picture.name);
    notes.push(`input "${picture.name}" is NHWC and becomes NCHW`);
  }
  now = cancelTransposes(now);
  const [batch, ...rest] = picture.dims as [number, number, number, number];
  const [channels, height, width] = picture.isNhwc ? [rest[2]!, rest[0]!, rest[1]!] : rest;
  const dims = [1, channels as 1 | 3, height!, width!] as const;
  const sizes = { inputs: { [picture.name]: [batch, ...dims.slice(1)] } };
  now = foldPads(now, sizes);
  const types = inferShapes(now, sizes);
  const scores = findScores(now, types, options.output);
  if (scores.from !== scores.tensor)
    notes.push(`scores are "${scores.tensor}", before ${scores.through} gives "${scores.from}"`);
  if (options.bgr) {
    now = redFirst(now, picture.name, dims[1]);
    notes.push('the network took blue first and now takes red first');
  }
  now = openBatch(withScores(now, scores.tensor, types), picture.name, [batch, ...dims.slice(1)]);
  const output = graphOf(now).output[0]!;
  if (batch !== 1) notes.push(`the batch of ${batch} becomes open`);
  return {
    model: now,
    input: { tensor: picture.name, dims: [...dims] },
    scores: { tensor: output.name, classes: scores.classes },
    notes,
  };
}

/** The one input, float32 [n, c, h, w] or [n, h, w, c] with 1 or 3 channels. Dims as the network was made for them. */
function pictureInput(model: ModelProto, { size }: ImportOptions) {
  const { inputs } = flowOf(model);
  if (inputs.length !== 1)
    throw unsupported(
      `the network takes ${inputs.length} inputs (${inputs.join(', ')}); a classifier of pictures takes one`,
    );
  const [name] = inputs as [string];
  const stated = statedDims(graphOf(model).input.find((info) => info.name === name)!);
  if (stated?.length !== 4)
    throw unsupported(
      `input "${name}" has the shape [${stated?.map((dim) => dim ?? '?') ?? 'unknown'}]; pictures are [n, c, h, w] or [n, h, w, c]`,
      { tensor: name },
    );
  const isChannels = (dim: number | string | undefined) => dim === 1 || dim === 3;
  const isNhwc = !isChannels(stated[1]) && isChannels(stated[3]);
  if (!isNhwc && !isChannels(stated[1]))
    throw unsupported(
      `input "${name}" has the shape [${stated.map((dim) => dim ?? '?')}]: neither its second nor its last dimension is 1 (grey) or 3 (RGB)`,
      { tensor: name },
    );
  const [heightAt, widthAt] = isNhwc ? [1, 2] : [2, 3];
  const dims = stated.map((dim, i) => {
    if (typeof dim === 'number') return dim;
    if (i === 0) return 1;
    const given = i === heightAt ? size?.height : i === widthAt ? size?.width : undefined;
    if (given !== undefined) return given;
    throw new TierwiseError(
      'USAGE',
      `input "${name}" is [${stated.map((d) => d ?? '?')}]: say what size its pictures are (--size HEIGHTxWIDTH)`,
      { tensor: name },
    );
  });
  if (size !== undefined && (dims[heightAt] !== size.height || dims[widthAt] !== size.width))
    throw new TierwiseError(
      'USAGE',
      `input "${name}" takes pictures of ${dims[heightAt]}x${dims[widthAt]} (height x width), not ${size.height}x${size.width}`,
      { tensor: name },
    );
  const type = inferShapes(model, { inputs: { [name]: dims } }).get(name)!;
  if (type.dtype !== 'float32')
    throw unsupported(`input "${name}" is ${type.dtype}; export the network with a float32 input`, {
      tensor: name,
    });
  return { name, dims, isNhwc };
}

/** `model` with the input channels of its first convolution in reverse order. */
function redFirst(model: ModelProto, input: string, channels: number): ModelProto {
  const graph = graphOf(model);
  const takers = graph.node.filter((node) => node.input.includes(input));
  const first = takers[0];
  if (channels !== 3 || takers.length !== 1 || first?.opType !== 'Conv' || attrInt(first, 'group', 1) !== 1)
    throw unsupported(
      `blue first (--bgr) needs 3 channels and a convolution that takes the input alone; ${first ? nodeLabel(first) : 'nothing'} takes it`,
    );
  const [order, weights] = [`${input}.blue-first`, `${input}.red-first`];
  const gather = create(NodeProtoSchema, {
    opType: 'Gather',
    name: `Gather_${weights}`,
    input: [first.input[1]!, order],
    output: [weights],
    attribute: [intAttribute('axis', 1)],
  });
  const turned = changed(first, { input: first.input.with(1, weights) });
  const node = graph.node.flatMap((old) => (old === first ? [gather, turned] : [old]));
  const initializer = [
    ...graph.initializer,
    toTensorProto(order, tensor('int64', [3], BigInt64Array.of(2n, 1n, 0n))),
  ];
  return changed(model, { graph: changed(graph, { node, initializer }) });
}
