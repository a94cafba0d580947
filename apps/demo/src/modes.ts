/** What the page can be asked to recognise, and with which bundle. */
export type Subject = 'digits' | 'clothes';
export type ModeName = Subject | 'camera';

export interface SubjectFacts {
  /** Folder below `models/`; also the name of its inverter's file. */
  readonly bundle: string;
  readonly title: string;
  readonly invitation: string;
  readonly looksLike: string;
}

export const subjects: Readonly<Record<Subject, SubjectFacts>> = {
  digits: {
    bundle: 'lenet-mnist',
    title: 'Draw a digit',
    invitation: 'Draw a digit from 0 to 9',
    looksLike: 'fitted and centred like the MNIST digits the network learned from',
  },
  clothes: {
    bundle: 'lenet-fashion',
    title: 'Sketch clothes',
    invitation: 'Sketch a shirt, a boot, a bag: outlines are filled',
    looksLike: 'fitted like the Fashion-MNIST product photos the network learned from',
  },
};

export const cameraTitle = 'Show the camera';
