import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { backendSuite } from '../harness/backend_suite.ts';
import { Service, whyMissing } from '../services/service.ts';

backendSuite('NFS', whyMissing('nfs'), async () => {
  const nfs = await Service.start('nfs');
  return {
    driver: 'nfs',
    settings: (place) => {
      mkdirSync(join(nfs.value('NFS_EXPORT_DIR'), place));
      return { url: nfs.value('NFS_URL_V3').replace('/export/', `/export/${place}`) };
    },
    pause: () => nfs.signal('ganesha', 'SIGSTOP'),
    goOn: () => nfs.signal('ganesha', 'SIGCONT'),
    stop: () => nfs.stop(),
  };
});
