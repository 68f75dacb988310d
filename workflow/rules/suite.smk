# The suite of the working folder, config/config.yaml, unless --configfile names another, which then
# stands alone, or a module statement gives one.

import sys
from pathlib import Path

# Jobs run the code beside this file, whatever else is installed; where the workflow was fetched file
# by file (a module on github) there is none, and the installed package is the project.
PROJECT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
if (PROJECT / "craft").is_dir():
    sys.path.insert(0, str(PROJECT))

from craft.config.load import ConfigError, check_files, load, typed
from craft.runtime.command import use_utf8
from craft.runtime.provenance import ROOT

# Nothing has been started yet that a new process would not start as well.
use_utf8()

IS_MODULE = not workflow.modifier.is_main_snakefile()
if IS_MODULE and not config:
    raise WorkflowError("module: expected `config:` with the keys of a suite, got none")

# Our reader comes first, as Snakemake's own says neither line nor key; a file of --configfile
# Snakemake has read before this one (docs/operations.md has a command for it).
if not IS_MODULE and not workflow.overwrite_configfiles:
    try:
        check_files(["config/config.yaml"])
    except ConfigError as error:
        raise WorkflowError(str(error))

    configfile: "config/config.yaml"
