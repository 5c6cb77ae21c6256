"""Methods of ours, one file each, as a stranger would write them: `isoloss arena NAME` runs one."""
