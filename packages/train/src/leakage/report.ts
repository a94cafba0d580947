import type { Block, PictureTable } from '@tierwise/report';
import { reportPage } from '@tierwise/report';
import { pictureStrip } from './image-files.ts';
import type { Leakage, Precision, Rebuilt } from './leakage.ts';

/** A precision in words, for tables. */
export const precisionText = (precision: Precision) =>
  precision === 'raw' ? 'raw' : precision === 1 ? '1 bit' : `${precision} bits`;
/** Decibels with one decimal; undefined is a picture without any error. */
export const psnrText = (db: number | undefined) => (db === undefined ? 'equal' : db.toFixed(1));
const share = (value: number) => `${(100 * value).toFixed(1)} %`;

/** What the figures mean, in one sentence for each; nothing here says that something cannot be rebuilt. */
export function leakageNotes({ measuredOn, fittedOn, meanPicture, rows, deployed }: Leakage): string[] {
  const now = rows.find(({ precision }) => precision === deployed)!;
  const best = Math.max(now.linear.reidentified, now.learned.reidentified);
  return [
    `As deployed (${precisionText(deployed)}), ${share(best)} of ${measuredOn.toLocaleString('en')} rebuilt pictures are nearest to the very picture that they were made from; guessing finds ${share(1 / measuredOn)}, the mean picture ${share(meanPicture.reidentified)}.`,
    `Both inverters are small and learnt from ${fittedOn.toLocaleString('en')} training pictures: who tries harder rebuilds more. The figures are a lower bound of what is revealed.`,
    now.savedOfPng < 0
      ? `What is sent is larger than the same picture as a PNG: it costs ${share(-now.savedOfPng)} more bytes.`
      : `What is sent is ${share(now.savedOfPng)} smaller than the same picture as a PNG.`,
  ];
}

/** A page that opens offline: curves, the table, and pictures beside what was rebuilt of them. */
export async function leakageReport(name: string, leakage: Leakage, rebuilt: Rebuilt): Promise<string> {
  const { rows, files, meanPicture, deployed } = leakage;
  const line = (title: string, of: (row: (typeof rows)[number]) => number | undefined) => ({
    name: title,
    points: rows.flatMap((row) => {
      const y = of(row);
      return y === undefined ? [] : [{ x: row.payloadBytes, y }];
    }),
  });
  const x = {
    label: 'sent',
    scale: 'log' as const,
    text: (value: number) => (value < 1000 ? `${value} B` : `${value / 1000} kB`),
  };
  const now = rows.find(({ precision }) => precision === deployed)!;
  const marks = [{ x: now.payloadBytes, label: `deployed: ${precisionText(deployed)}` }];
  const percent = (value: number) => `${Math.round(100 * value)} %`;
  const strip = async (label: string, data: Rebuilt['truth']) => ({
    label,
    png: (await pictureStrip(data)).toString('base64'),
  });
  const pictures: PictureTable = {
    kind: 'pictures',
    title: 'Test pictures, and what was rebuilt of them',
    rows: [await strip('the pictures', rebuilt.truth)],
  };
  const strips = [...pictures.rows];
  for (const { precision, linear, learned } of rebuilt.rows) {
    strips.push(await strip(`${precisionText(precision)}, linear`, linear));
    strips.push(await strip(`${precisionText(precision)}, learned`, learned));
  }
  const blocks: Block[] = [
    ...leakageNotes(leakage).map((text): Block => ({ kind: 'text', text })),
    {
      kind: 'lines',
      title: 'How near the rebuilt pictures are',
      x,
      y: { label: 'PSNR, dB (higher reveals more)' },
      series: [
        line('linear inverter', (row) => row.linear.psnrDb),
        line('learned inverter', (row) => row.learned.psnrDb),
        {
          name: 'the picture as JPEG',
          points: files.jpegs.flatMap(({ bytes, psnrDb }) =>
            psnrDb === undefined ? [] : [{ x: bytes, y: psnrDb }],
          ),
        },
      ],
      marks: [...marks, { x: files.pngBytes, label: 'PNG' }],
    },
    {
      kind: 'lines',
      title: 'Pictures that can be told from the others',
      x,
      y: { label: 're-identified', text: percent },
      series: [
        line('linear inverter', (row) => row.linear.reidentified),
        line('learned inverter', (row) => row.learned.reidentified),
        line('main network right', (row) => row.mainAccuracy),
      ],
      marks,
    },
    { ...pictures, rows: strips },
    {
      kind: 'table',
      title: 'By precision',
      head: [
        'sent',
        'bytes',
        'of PNG saved',
        'of JPEG saved',
        'linear dB',
        'SSIM',
        're-identified',
        'learned dB',
        'SSIM',
        're-identified',
        'JPEG of that size, dB',
        'main right',
      ],
      rows: rows.map((row) => [
        precisionText(row.precision),
        Math.round(row.payloadBytes),
        share(row.savedOfPng),
        share(row.savedOfJpeg),
        psnrText(row.linear.psnrDb),
        row.linear.ssim.toFixed(3),
        share(row.linear.reidentified),
        psnrText(row.learned.psnrDb),
        row.learned.ssim.toFixed(3),
        share(row.learned.reidentified),
        row.jpegOfThatSize === undefined ? 'none is as small' : psnrText(row.jpegOfThatSize.psnrDb),
        share(row.mainAccuracy),
      ]),
    },
    {
      kind: 'facts',
      title: 'Conditions',
      facts: {
        Pictures: `${leakage.measuredOn} test pictures of ${leakage.data}; the inverters learnt from ${leakage.fittedOn} training pictures`,
        'Mean picture': `${psnrText(meanPicture.psnrDb)} dB, SSIM ${meanPicture.ssim.toFixed(3)}, re-identified ${share(meanPicture.reidentified)}`,
        'As a file': `PNG ${Math.round(files.pngBytes)} bytes, JPEG of quality 80 ${Math.round(files.jpegBytes)} bytes on average`,
        'Bytes sent': 'the packed stem; the message around it adds about 340 bytes',
      },
    },
  ];
  return reportPage(`What leaves the device: ${name}`, blocks);
}
