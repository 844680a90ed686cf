import { mkdtemp } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';

import { exportTraits } from '../../drivers/nfs/export_driver.js';
import { nfsDriver } from '../../drivers/nfs/driver.js';
import type { Driver } from '../../src/driver/driver.js';
import { withLimit } from '../../src/driver/limit.js';
import { withRetry } from '../../src/driver/retry.js';
import { Service, whyMissing } from '../services/service.ts';
import { lawsOn } from './laws_on.js';

const missing = whyMissing('nfs');

describe.skipIf(missing !== null)(`the nfs driver on a real server${missing === null ? '' : `: ${missing}`}`, () => {
  let service: Service;
  beforeAll(async () => {
    service = await Service.start('nfs');
  });
  afterAll(async () => {
    await service?.stop();
  });

  const open = async (): Promise<Driver> => {
    const directory = await mkdtemp(join(service.value('NFS_EXPORT_DIR'), 'pool-'));
    const url = service.value('NFS_URL_V3').replace('/export/?', `/export/${basename(directory)}?`);
    return nfsDriver.open({ url });
  };

  lawsOn('nfs', exportTraits, open);
  lawsOn('retry(limit(nfs))', exportTraits, async () => withRetry(withLimit(await open())));
});
