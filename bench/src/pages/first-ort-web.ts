import { bytesOf } from './files.ts';
import { openOrtWeb, ortWebScores } from './ort-web.ts';
import { channels, planes, side } from './picture.ts';
import { best, show } from './show.ts';

async function main(): Promise<void> {
  const session = await openOrtWeb(await bytesOf('model/model.onnx'));
  show(best(await ortWebScores(session, [1, channels, side, side], planes())));
}

main();
