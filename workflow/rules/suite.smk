# The paper's suite, unless --configfile names another, which then stands alone: nothing of the
# paper's is merged into it. Our reader comes first, as Snakemake's own says neither line nor key;
# a file of --configfile Snakemake has read before this one (docs/operations.md has a command for it).

import sys

sys.path.insert(0, workflow.basedir)

from craft.config.load import ConfigError, check_files
from craft.runtime.command import use_utf8

# Nothing has been started yet that a new process would not start as well.
use_utf8()

if not workflow.overwrite_configfiles:
    try:
        check_files(["config/config.yaml"])
    except ConfigError as error:
        raise WorkflowError(str(error))

    configfile: "config/config.yaml"
