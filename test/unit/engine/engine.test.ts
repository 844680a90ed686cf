import { expect, test } from 'vitest';

import { Engine } from '../../../src/engine/engine.js';
import { codedError, fakeModule } from '../mapper/fake_engine.js';

const options = {} as never;

function open(): { engine: Engine; fake: ReturnType<typeof fakeModule>['engines'][number]; failures: string[] } {
  const module = fakeModule();
  const failures: string[] = [];
  const engine = new Engine(module, options, (type, error) => failures.push(`${type}: ${String(error)}`));
  const [fake] = module.engines;
  if (fake === undefined) throw new Error('no engine was made');
  return { engine, fake, failures };
}

test('native codes become SkerryErrors, thrown and rejected alike', async () => {
  const { engine, fake } = open();
  fake.before = () => {
    throw codedError('no-space', 'full');
  };
  expect(() => engine.committed(1, true)).toThrowError(
    expect.objectContaining({ name: 'SkerryError', code: 'no-space', message: 'full' }),
  );
  await expect(engine.drop(1)).rejects.toMatchObject({ name: 'SkerryError', code: 'no-space' });
});

test('a code that the table does not have is a bug, and says so', async () => {
  const { engine, fake } = open();
  fake.before = () => {
    throw codedError('surprise', 'what');
  };
  await expect(engine.drop(1)).rejects.toMatchObject({ code: 'internal' });
});

test('each event reaches the handler of its type, in order, whatever another handler does', () => {
  const { engine, fake, failures } = open();
  const seen: string[] = [];
  engine.on('log', ({ message }) => seen.push(message));
  engine.on('connected', () => {
    throw new Error('a bug');
  });
  fake.emit([
    { type: 'log', level: 'info', message: 'one' },
    { type: 'connected', connection: 1, listener: 'l', user: -1 },
    { type: 'closed', connection: 1, why: 'nobody listens' },
    { type: 'log', level: 'info', message: 'two' },
  ]);
  expect(seen).toEqual(['one', 'two']);
  expect(failures).toEqual(['connected: Error: a bug']);
});
