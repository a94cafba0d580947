/**
 * What a page sees: `load(url)` gives a Composite, `composite.classify(image)` gives an Answer.
 *
 *     const composite = await load('/models/lenet');
 *     const answer = await composite.classify(canvas);
 *     console.log(answer.label, answer.tier, answer.totalMs);
 */
import type { Engine, Manifest, Plan, Strategy } from '@tierwise/plan';
import type { Degraded, PathStep, Sent } from '@tierwise/runtime';

/**
 * Pixels in memory, row by row from the top left, values 0..255. `data` holds 4 (RGBA), 3 (RGB) or 1 (grey)
 * values a pixel: its length is `width * height` times that. ImageData is one of these.
 */
export interface RawPixels {
  readonly data: Uint8ClampedArray | Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** What `classify` takes. Everything but raw pixels is drawn on a canvas first, so it needs a page. */
export type Picture =
  | RawPixels
  | ImageData
  | HTMLCanvasElement
  | OffscreenCanvas
  | ImageBitmap
  | HTMLImageElement
  | HTMLVideoElement
  | VideoFrame;

/** Bytes of the artifacts that a load or a change of strategy fetches; `file` is the one that is arriving. */
export interface Progress {
  readonly file: string;
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

/**
 * `none`: the bundle names no edge, or the page asked for none. `connecting`: the first attempt is under way.
 * `unreachable`: the last attempt failed or the connection was lost; it is tried again in the background.
 */
export type EdgeState = 'none' | 'connecting' | 'connected' | 'unreachable';

/** The part of the WebSocket interface that is used; a browser's and `ws`'s both fit. */
export interface Socket {
  binaryType: string;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'open' | 'close' | 'error', listener: () => void): void;
}
/** The WebSocket class of a browser, or that of `ws`. */
export type SocketConstructor = new (url: string, protocols: string[]) => Socket;

/** The part of the Cache interface that is used; a browser's fits. Addresses are names: nothing is fetched from them. */
export interface CacheLike {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
  delete(url: string): Promise<boolean>;
  keys(): Promise<readonly { readonly url: string }[]>;
}

/** How a bundle is fetched, where its samples may go, and what a host has in place of a page. */
export interface LoadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /**
   * `default`: manifest and artifacts are kept in Cache Storage, so that later loads work offline and a broken download
   * goes on where it was; where there is no such store, or no room in it, in memory. `none`, which it is unless said:
   * nothing but what the browser's HTTP cache keeps. What is kept is listed by `@tierwise/device/cache`.
   */
  readonly cache?: 'default' | 'none' | CacheLike | undefined;
  /** Whether to do without all that costs data: no download of the whole network, no audits. By default as the browser says. */
  readonly saveData?: boolean | undefined;
  /** `lcdnn` by default. */
  readonly strategy?: string | undefined;
  /** Strategies that may be named, beside `lcdnn`, by their names; `strategies` of `@tierwise/plan` has all. */
  readonly strategies?: Readonly<Record<string, Strategy>> | undefined;
  /** Engines beside the binary one; `device-only` needs `onnxEngine()` of `@tierwise/device/ort`. */
  readonly engines?: readonly Engine[] | undefined;
  /**
   * Where unfinished samples go. By default `served.stream` of the manifest; a string is another address,
   * relative to the manifest (http and ws are the same here); false means nowhere.
   */
  readonly edge?: boolean | string | undefined;
  /** Whether the picture itself may leave the device; `edge-only` is refused unless true. Default false. */
  readonly rawInputMayLeave?: boolean | undefined;
  /** One of the edge's tokens, when it wants one. */
  readonly token?: string | undefined;
  /**
   * When the visitor has agreed: sends this share of the samples that the device is sure of as well, above 0 to 1, to be
   * counted by an edge that takes audits. Answers do not wait for that, and its failures are ignored.
   */
  readonly audit?: { readonly share: number } | undefined;
  /**
   * Replacements for the globals of a page, for other hosts; where there is no WebSocket, samples go by HTTP. `random`
   * (uniform in [0, 1)) spreads reconnects and draws audits.
   */
  readonly fetch?: typeof fetch | undefined;
  readonly WebSocket?: SocketConstructor | undefined;
  readonly random?: (() => number) | undefined;
}

/** What holds for one sample only. */
export interface ClassifyOptions {
  readonly signal?: AbortSignal | undefined;
  /** Exit threshold for this sample only, 0..1.01; a sample stays on the device when its entropy is below. */
  readonly threshold?: number | undefined;
  /** How long to wait for the edge, default 5000. The branch's answer, marked degraded, comes after that. */
  readonly timeoutMs?: number | undefined;
}

/** The class of a picture, and how it was come by. */
export interface Answer {
  readonly label: string;
  readonly classIndex: number;
  /** One per label, summing to 1. */
  readonly probabilities: Float64Array;
  /** Where the answer was computed, and at which exit of the Plan (`branch` or `main`). */
  readonly tier: 'device' | 'edge';
  readonly exit: string;
  /** Normalised entropy of the first exit (the branch, when the Plan has one), 0 certain to 1 uniform. */
  readonly entropy: number;
  /** Threshold that `entropy` was compared with, strictly; undefined when the Plan has no such exit. */
  readonly threshold?: number | undefined;
  /** log sum exp of the scores that `entropy` is of: the less, the less the picture is like those learnt from. */
  readonly energy: number;
  /**
   * False when the picture is probably "none of these": the branch saw less `energy` than `manifest.rejection` wants, and
   * the label means little. An answer that the edge finished keeps the branch's verdict. Undefined when the bundle has no
   * such threshold, and when the Plan has no branch.
   *
   * It is a hint, and no protection from pictures made to deceive: `tierwise eval --strangers` measures what it does.
   */
  readonly familiar?: boolean | undefined;
  /** Present when the edge should have finished and did not: this is the branch's answer. */
  readonly degraded?: Degraded | undefined;
  /** One step a section that ran, in order. */
  readonly path: readonly PathStep[];
  /** From the call to the answer, preprocessing included. */
  readonly totalMs: number;
  /** What left the device: `bytes` as packed, `rawBytes` as float32; undefined when nothing did. */
  readonly sent?: Sent | undefined;
}

/** What a page may be told, and what it is told with. */
export interface CompositeEvents {
  /** The edge came or went. */
  edge: EdgeState;
  /** An answer came from the branch because the edge did not give one. */
  degraded: Degraded;
  /** As `degraded`: the edge does not know this version of the bundle any more, so the page should load it again. */
  outdated: Degraded;
}

/** A loaded bundle. One instance serves any number of calls at once; dispose it when the page is done. */
export interface Composite extends AsyncDisposable {
  readonly manifest: Manifest;
  /** The Plan that the next call runs. */
  readonly plan: Plan;
  readonly edgeState: EdgeState;
  /** Exit threshold in force for calls that give none; undefined when the Plan has no such exit. */
  readonly threshold: number | undefined;
  /**
   * Classifies one picture.
   * @throws TierwiseError IMAGE_INVALID, CANCELLED, DISPOSED; for a Plan without a branch also what the edge
   *   answered, EDGE_UNREACHABLE or TIMEOUT
   */
  classify(picture: Picture, options?: ClassifyOptions): Promise<Answer>;
  /**
   * Makes and prepares another Plan for the same bundle, fetching what it lacks; calls under way finish on the
   * old one. On failure the old Plan stays.
   * @throws TierwiseError PLAN_INVALID, ENGINE_MISSING, EDGE_UNREACHABLE, DIGEST_MISMATCH, CANCELLED
   */
  use(
    strategy: string,
    options?: {
      readonly signal?: AbortSignal | undefined;
      readonly onProgress?: ((progress: Progress) => void) | undefined;
    },
  ): Promise<void>;
  /** Sets the exit threshold of all later calls, 0..1.01. @throws TierwiseError PLAN_INVALID out of range */
  setThreshold(threshold: number): void;
  /** Calls `listener` on each event until the returned function is called. */
  on<K extends keyof CompositeEvents>(event: K, listener: (detail: CompositeEvents[K]) => void): () => void;
  /**
   * Closes the link and frees the engines once no call needs them: calls that wait for the edge fail with
   * DISPOSED, the others finish. Idempotent. `await using` calls it.
   */
  dispose(): Promise<void>;
}

/**
 * Fetches and prepares a bundle. `url` is its folder or its manifest.json; relative to the page when there is
 * one. Resolves when the first `classify` will not wait for anything but its own work.
 * @throws TierwiseError MANIFEST_INVALID, EDGE_UNREACHABLE (the host does not answer), ARTIFACT_UNKNOWN,
 *   DIGEST_MISMATCH, PROGRAM_CORRUPT, ENGINE_MISSING, CANCELLED
 */
export type Load = (url: string | URL, options?: LoadOptions) => Promise<Composite>;
