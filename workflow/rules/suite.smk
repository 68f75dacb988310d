# The suite of the working folder, config/config.yaml, unless --configfile names another, which then
# stands alone, or a module statement gives one.

import os
import sys
from pathlib import Path

from snakemake.logging import logger

# Jobs run the code beside this file, even where another copy is installed; where the workflow was
# fetched file by file (a module on github) there is none, and the installed package is the project.
PROJECT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
if (PROJECT / "craft").is_dir():
    sys.path.insert(0, str(PROJECT))

from craft.config.load import ConfigError, load, merged
from craft.runtime.command import use_utf8
from craft.runtime.provenance import ROOT
from craft.runtime.startup import start_problems

# Nothing has been started yet, so replacing the process loses nothing.
use_utf8()

IS_MODULE = not workflow.modifier.is_main_snakefile()
if IS_MODULE and not config:
    raise WorkflowError("module: expected `config:` with the keys of a suite, got none")

# The suite is read again as YAML 1.2: Snakemake reads the files as YAML 1.1 (010 is 8).
CONFIG_FILES = [] if IS_MODULE else workflow.overwrite_configfiles or ["config/config.yaml"]
if not IS_MODULE:
    try:
        GIVEN = merged(CONFIG_FILES, workflow.config_settings.config)
    except ConfigError as error:
        raise WorkflowError(str(error))
    if not workflow.overwrite_configfiles:

        configfile: "config/config.yaml"

    config.clear()
    config.update(GIVEN)


try:
    SUITE = load(config, source=" + ".join(map(os.path.relpath, CONFIG_FILES)))
except ConfigError as error:
    raise WorkflowError(str(error))

# Notices are for the user and not part of the design.
NOTICES = SUITE.pop("notices")
if workflow.is_main_process:
    places = (ROOT, SUITE["results"], SUITE["data"], ".snakemake")
    if problems := list(start_problems(*map(Path, places))):
        raise WorkflowError("\n".join(problems))
    for notice in NOTICES:
        logger.warning(f"notice: {notice}")
