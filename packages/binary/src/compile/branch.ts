import { type Tensor, TierwiseError } from '@tierwise/core';
import { inferShapes, nodeLabel } from '@tierwise/graph';
import type { GraphProto, ModelProto, NodeProto } from 'onnx-buf';
import { writeProgram } from '../file.ts';
import type { Program, ProgramOutput } from '../program.ts';
import { constantsOf } from './constants.ts';
import { Emitter } from './emit.ts';
import type { State } from './node-scope.ts';
import { compileNode } from './nodes.ts';

/** Which part of a graph becomes a program, and how its numbers are stored. */
export interface CompileOptions {
  /** The tensor that the program takes: float32 [n, c, h, w] or [n, c]. */
  readonly input: string;
  /** The tensors that the program gives, in this order; one of them may lie on the way to another. */
  readonly outputs: readonly string[];
  /**
   * Whether numbers that no threshold depends on are stored as float16: those after the last sign, and
   * convolution weights that are not whole numbers. Default false.
   */
  readonly halfPrecisionEnds?: boolean;
}

/**
 * The part of `model` between a tensor and others as a program file. Batch norms and signs become thresholds that
 * hold for every possible value exactly as onnxruntime rounds; up to the first dense layer with real weights the
 * program gives the graph's numbers bit for bit when the stem's weights and the pixels are whole numbers.
 *
 * The part may hold Conv, MaxPool, GlobalAveragePool, Mul, Add (of a constant or of two tensors), Sub, Div,
 * BatchNormalization, Relu, LeakyRelu, PRelu, Clip, Where(GreaterOrEqual(x, 0), 1, -1), Pad with -1, Flatten, Reshape,
 * Gemm and MatMul. What works on +1 and -1 needs weights of +1 and -1,
 * or is a depthwise Conv of whole numbers -127..127, padded with 0.
 * @throws TierwiseError MODEL_UNSUPPORTED naming the node that a program cannot express and what was expected;
 *   MODEL_CORRUPT when the graph's shapes do not fit
 */
export function compileBranch(model: ModelProto, options: CompileOptions): Uint8Array<ArrayBuffer> {
  const { program, tensors } = translate(model, options);
  return writeProgram(program, tensors);
}

function translate(
  model: ModelProto,
  { input, outputs, halfPrecisionEnds = false }: CompileOptions,
): { program: Program; tensors: Map<string, Tensor> } {
  if (!model.graph) throw new TierwiseError('MODEL_CORRUPT', 'the model holds no graph');
  const nodes = ancestors(model.graph, outputs);
  const graph = { ...model.graph, node: nodes, output: [] };
  const types = inferShapes({ ...model, graph });
  const dimsOf = (name: string): readonly number[] => {
    const dims = types.get(name)?.dims;
    if (!dims) throw unsupported(`tensor "${name}" is not in the graph, or not on the way to an output`);
    if (dims[0] !== 1)
      throw unsupported(`tensor "${name}" has the fixed shape [${dims}]; expected a batch of 1`);
    return dims;
  };

  const inputDims = dimsOf(input);
  if (inputDims.length !== 2 && inputDims.length !== 4) {
    throw unsupported(`input "${input}" is [${inputDims}]; expected [n, c, h, w] or [n, c]`);
  }
  const [, c = 1, h = 1, w = 1] = inputDims;
  const emitter = new Emitter({ tensor: input, shape: { c, h, w } });
  const states = new Map<string, State>([[input, { base: 0, steps: [] }]]);
  const scope = { emitter, constant: constantsOf(graph), types, states };
  for (const node of nodes) {
    // What only computes shapes has been done by inferShapes.
    if (!node.input.some((name) => states.has(name)) || node.opType === 'Shape') continue;
    if (node.output.includes(input)) continue;
    const [name] = node.output as [string];
    const state = compileNode(node, scope);
    // An output is calculated where it occurs, and what follows goes on from its numbers.
    states.set(name, outputs.includes(name) ? settle(state, node, emitter) : state);
  }

  const found = outputs.map((name): ProgramOutput => {
    const state = states.get(name);
    if (!state) throw unsupported(`output "${name}" does not depend on input "${input}"`);
    return { tensor: name, value: state.base, dims: dimsOf(name) };
  });
  return emitter.finish(found, halfPrecisionEnds);
}

/** The state with its steps done. */
function settle(state: State, node: NodeProto, emitter: Emitter): State {
  const fail = (what: string) => unsupported(`${nodeLabel(node)}: ${what}`, node);
  if (state.compare || state.pad) throw fail('a comparison or a padded tensor cannot be an output');
  if (state.steps.length === 0) return state;
  return { base: emitter.affine(state.base, state.steps, fail), steps: [] };
}

/** The nodes that `outputs` depend on, in the graph's order. */
function ancestors(graph: GraphProto, outputs: readonly string[]): NodeProto[] {
  const needed = new Set(outputs);
  return graph.node
    .toReversed()
    .filter((node) => {
      const wanted = node.output.some((name) => needed.has(name));
      if (wanted) for (const name of node.input) needed.add(name);
      return wanted;
    })
    .reverse();
}

function unsupported(message: string, node?: NodeProto): TierwiseError {
  return new TierwiseError('MODEL_UNSUPPORTED', message, { node: node?.name, op: node?.opType });
}
