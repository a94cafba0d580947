/** What a report is made of, as data; `page.ts` makes HTML of it, `charts.ts` the drawings. */
export type Block =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'facts';
      readonly title: string;
      readonly facts: Readonly<Record<string, string | number>>;
    }
  | TableBlock
  | PictureTable
  | BarChart
  | LineChart;

/** A table of a report. */
export interface TableBlock {
  readonly kind: 'table';
  readonly title: string;
  readonly head: readonly string[];
  /** Numbers are written to three digits and stand to the right. The first cell of a row is its name. */
  readonly rows: readonly (readonly (string | number)[])[];
}

/** Rows of pictures, each row one PNG, in base64. */
export interface PictureTable {
  readonly kind: 'pictures';
  readonly title: string;
  readonly rows: readonly { readonly label: string; readonly png: string }[];
}

/** Horizontal bars from zero. */
export interface BarChart {
  readonly kind: 'bars';
  readonly title: string;
  readonly bars: readonly { readonly label: string; readonly value: number }[];
}

/** A chart of lines or dots over two axes. */
export interface LineChart {
  readonly kind: 'lines';
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  /** At most six. */
  readonly series: readonly Series[];
  /** Upright lines with a name, say where the threshold is. */
  readonly marks?: readonly { readonly x: number; readonly label: string }[];
}

/** An axis of a chart; its range is that of the points. */
export interface Axis {
  readonly label: string;
  /** `log` leaves out what is not positive. */
  readonly scale?: 'linear' | 'log';
  /** Ticks at whole numbers only. */
  readonly whole?: boolean;
  readonly text?: (value: number) => string;
}

/** One line of a chart, or its dots. */
export interface Series {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number; readonly label?: string }[];
  /** Dots with their labels instead of a line. */
  readonly dots?: boolean;
}
