import { startNfs } from '../harness/backends.ts';
import { backendSuite } from '../harness/backend_suite.ts';
import { whyMissing } from '../services/service.ts';

backendSuite('NFS', whyMissing('nfs'), startNfs);
