// What `npm run pictures` runs: draws docs/pictures/*.svg from the code, so that docs/architecture.md shows what is there.
// `--check` writes nothing and fails when a picture is not what would be drawn now.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const readJson = (path) => JSON.parse(readFileSync(root + path, 'utf8'));

const style = `<style>
text { font: 14px system-ui, sans-serif; fill: #1c2430 }
.small { font-size: 12px; fill: #56616f }
.strong { font-weight: 600 }
.middle { text-anchor: middle }
.box { fill: #ffffff; stroke: #8a96a5 }
.page { fill: #e2f1e8; stroke: #3c8c63 }
.node { fill: #e5ecfa; stroke: #4a6fb5 }
.lane { fill: none; stroke: #c3cad3; stroke-dasharray: 4 4 }
.arrow { fill: none; stroke: #6b7786; stroke-width: 1.5; marker-end: url(#head) }
.head { fill: #6b7786 }
@media (prefers-color-scheme: dark) {
  text { fill: #e8ecf1 } .small { fill: #a7b1be }
  .box { fill: #1b222c; stroke: #6b7786 } .page { fill: #173326; stroke: #4aa878 } .node { fill: #1b2945; stroke: #6d8fd0 }
  .lane { stroke: #46515f } .arrow { stroke: #93a0b0 } .head { fill: #93a0b0 }
}
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>`;

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const text = (x, y, words, names = '') => `<text x="${x}" y="${y}" class="${names}">${escaped(words)}</text>`;
const box = (x, y, width, height, names) =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="8" class="${names}"/>`;
const svg = (width, height, title, parts) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">\n<title>${escaped(title)}</title>\n${style}\n${parts.join('\n')}\n</svg>\n`;

/** Rooms and what each uses when it runs, by name; the demo is one of them. */
function rooms() {
  const folders = [
    ...readdirSync(`${root}packages`).map((name) => `packages/${name}`),
    ...readdirSync(`${root}apps`).map((name) => `apps/${name}`),
  ];
  return new Map(
    folders.map((folder) => {
      const { dependencies = {} } = readJson(`${folder}/package.json`);
      const uses = Object.keys(dependencies).filter((name) => name.startsWith('@tierwise/'));
      const { compilerOptions } = readJson(`${folder}/tsconfig.json`);
      const anywhere = compilerOptions?.types?.length === 0;
      return [folder.split('/')[1], { uses: uses.map((name) => name.split('/')[1]), anywhere }];
    }),
  );
}

/** All that a room uses, directly or through others. */
const reach = (all, name) => new Set(all.get(name).uses.flatMap((used) => [used, ...reach(all, used)]));

/** Rooms in rows, users above what they use; an arrow that others imply is left out. */
function roomsPicture() {
  const all = rooms();
  const depth = (name) => Math.max(0, ...all.get(name).uses.map((used) => depth(used) + 1));
  const names = [...all.keys()];
  const inPage = reach(all, 'demo').add('demo');
  const deepest = Math.max(...names.map(depth));
  const rows = Array.from({ length: deepest + 1 }, (_, i) => names.filter((name) => depth(name) === i));
  const arrows = names.flatMap((name) =>
    all
      .get(name)
      .uses.filter((used) => !all.get(name).uses.some((other) => reach(all, other).has(used)))
      .map((used) => [name, used]),
  );
  const [width, rowHeight, boxWidth, boxHeight] = [720, 96, 112, 44];
  // An arrow over several rows keeps a place of its own in each row between, so that it passes beside the rooms there.
  const routes = arrows.map(([from, to]) => {
    const between = [];
    for (let i = depth(from) - 1; i > depth(to); i--) {
      between.push(`${from} to ${to} at ${i}`);
      rows[i].push(between.at(-1));
    }
    return [from, ...between, to];
  });
  const near = (name) =>
    routes.flatMap((route) => {
      const at = route.indexOf(name);
      return at < 0 ? [] : [route[at - 1], route[at + 1]].filter(Boolean);
    });
  const x = new Map();
  // Rooms of a page to the right, others to the left; then each near those that it is joined to.
  const place = (row) => {
    const share = (name) => (all.has(name) ? 1 : 0.3);
    const total = row.reduce((sum, name) => sum + share(name), 0);
    let before = 0;
    for (const name of row) {
      x.set(name, ((before + share(name) / 2) * width) / total);
      before += share(name);
    }
  };
  for (const row of rows) {
    row.sort((a, b) => Number(inPage.has(a)) - Number(inPage.has(b)) || a.localeCompare(b));
    place(row);
  }
  for (let pass = 0; pass < 8; pass++) {
    for (const row of rows) {
      const centre = (name) =>
        near(name).reduce((sum, other, _, { length }) => sum + x.get(other) / length, 0);
      const centres = new Map(row.map((name) => [name, centre(name)]));
      row.sort((a, b) => centres.get(a) - centres.get(b) || a.localeCompare(b));
      place(row);
    }
  }
  const rowOf = (name) => rows.findIndex((row) => row.includes(name));
  const y = (name) => 12 + (rows.length - 1 - rowOf(name)) * rowHeight;
  const height = 12 + (rows.length - 1) * rowHeight + boxHeight + 44;
  const parts = routes.map((route) => {
    const steps = route.slice(1).map((to, i) => {
      const [x1, y1, x2, y2] = [x.get(route[i]), y(route[i]) + boxHeight, x.get(to), y(to)];
      const curve = `C${x1.toFixed(1)} ${y1 + 34} ${x2.toFixed(1)} ${y2 - 34} ${x2.toFixed(1)} ${y2}`;
      return all.has(to) ? curve : `${curve}V${y2 + boxHeight}`;
    });
    return `<path class="arrow" d="M${x.get(route[0]).toFixed(1)} ${y(route[0]) + boxHeight}${steps.join('')}"/>`;
  });
  for (const name of names) {
    const kind = inPage.has(name) && name !== 'graph' ? 'page' : all.get(name).anywhere ? 'box' : 'node';
    parts.push(box((x.get(name) - boxWidth / 2).toFixed(1), y(name), boxWidth, boxHeight, kind));
    parts.push(text(x.get(name).toFixed(1), y(name) + 27, name, 'middle strong'));
  }
  const legend = [
    ['page', 'a page loads it'],
    ['box', 'anywhere, not in a page'],
    ['node', 'Node'],
  ];
  legend.forEach(([kind, words], i) => {
    parts.push(box(16 + i * 200, height - 26, 16, 16, kind), text(40 + i * 200, height - 13, words, 'small'));
  });
  return svg(width, height, 'The rooms; an arrow points to what a room uses', parts);
}

/** The Plans that `tierwise plan` makes, from the device on the left to the edge on the right. */
function plansPicture() {
  const args = ['plan', 'models/lenet-mnist.tierwise', '--link', 'slow-4g', '--raw-input', '--json'];
  const done = spawnSync(process.execPath, ['packages/cli/bin/tierwise.js', ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  if (done.status !== 0) throw new Error(`tierwise plan: ${done.stderr}`);
  const { plans } = JSON.parse(done.stdout);
  const [width, laneHeight, boxWidth] = [730, 128, 210];
  const left = { device: 116, edge: 506 };
  const parts = [];
  for (const [tier, at] of Object.entries(left)) {
    parts.push(box(at - 10, 8, boxWidth + 20, plans.length * laneHeight + 24, 'lane'));
    parts.push(text(at + boxWidth / 2, 28, tier, 'middle strong'));
  }
  plans.forEach((plan, i) => {
    const y = 44 + i * laneHeight;
    parts.push(text(8, y + 16, plan.strategy, 'strong'));
    const { latencyMs, uplinkBytes } = plan.predicted;
    parts.push(text(8, y + 36, `${latencyMs.toFixed(1)} ms`, 'small'), text(8, y + 52, 'expected', 'small'));
    const tierOf = (section) => plan.places.find(({ id }) => id === section.place).tier;
    for (const section of plan.sections) {
      const x = left[tierOf(section)];
      parts.push(box(x, y, boxWidth, 96, tierOf(section) === 'device' ? 'page' : 'node'));
      parts.push(text(x + 12, y + 22, `${section.id}: ${section.engine} engine`, 'strong'));
      section.outputs.forEach(({ tensor, dims }, j) => {
        parts.push(text(x + 12, y + 42 + j * 17, `gives ${tensor} [${dims}]`, 'small'));
      });
      const exit = plan.exits.find((candidate) => candidate.section === section.id);
      const { policy } = exit;
      const sure = policy.kind === 'entropy' ? `if entropy < ${policy.threshold.toPrecision(3)}` : 'always';
      parts.push(text(x + 12, y + 84, `answers ${sure}`));
    }
    for (const link of plan.links) {
      const at = link.from === 'input' ? y + 80 : y + 56;
      if (link.from === 'input') parts.push(text(8, at + 4, link.tensors.join(', '), 'small'));
      const from = link.from === 'input' ? left.device - 56 : left.device + boxWidth;
      const to = left[tierOf(plan.sections.find(({ id }) => id === link.to))];
      parts.push(`<path class="arrow" d="M${from} ${at}H${to - 3}"/>`);
      if (to === left.device) continue;
      const middle = (left.device + boxWidth + left.edge) / 2;
      const packed = link.codec.kind === 'packed' ? `${link.codec.bits} bits` : 'float32';
      const below = [`${uplinkBytes.toLocaleString('en')} bytes`];
      if (link.when.kind === 'exitNotTaken') below.push(`unless ${link.when.exit} answers`);
      parts.push(text(middle, at - 8, `${link.tensors.join(', ')}, ${packed}`, 'small middle'));
      for (const [j, words] of below.entries())
        parts.push(text(middle, at + 18 + j * 16, words, 'small middle'));
    }
  });
  const height = 44 + plans.length * laneHeight;
  return svg(width, height, 'The Plan that each strategy makes of lenet-mnist on slow 4G', parts);
}

const pictures = { 'rooms.svg': roomsPicture(), 'plans.svg': plansPicture() };
const check = process.argv.includes('--check');
mkdirSync(`${root}docs/pictures`, { recursive: true });
for (const [name, drawn] of Object.entries(pictures)) {
  const path = `${root}docs/pictures/${name}`;
  if (!check) writeFileSync(path, drawn);
  else if (readFileSync(path, 'utf8') !== drawn) {
    process.stderr.write(`docs/pictures/${name} is not what the code is now: run \`npm run pictures\`.\n`);
    process.exitCode = 1;
  }
}
