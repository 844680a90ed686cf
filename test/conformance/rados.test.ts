import { afterAll, beforeAll, describe } from 'vitest';

import { RadosDriver, radosTraits } from '../../drivers/rados/driver.js';
import { radosSettings } from '../../drivers/rados/settings.js';
import { withLimit } from '../../src/driver/limit.js';
import { withRetry } from '../../src/driver/retry.js';
import { Service, whyMissing } from '../services/service.ts';
import { lawsOn } from './laws_on.js';

const missing = whyMissing('ceph');

describe.skipIf(missing !== null)(`rados, on a cluster of its own${missing === null ? '' : `: skipped, ${missing}`}`, () => {
  let ceph: Service;
  let opened = 0;
  beforeAll(async () => {
    ceph = await Service.start('ceph');
  });
  afterAll(async () => {
    await ceph?.stop();
  });

  /** In a namespace of its own, so that it is empty. */
  const open = async (settings: Readonly<Record<string, string>> = {}): Promise<RadosDriver> => {
    opened += 1;
    const defaults = { conf: ceph.value('CEPH_CONF'), pool: ceph.value('CEPH_POOL'), namespace: `place-${opened}` };
    return RadosDriver.open(radosSettings.parse({ ...defaults, ...settings }));
  };

  lawsOn('rados', radosTraits, open);
  lawsOn('retry(limit(rados))', radosTraits, async () => withRetry(withLimit(await open())));
});
