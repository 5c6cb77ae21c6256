"""The documentation site: `make docs` builds it into build/docs, warnings are errors."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_site"))

import isoloss

project = "isoloss"
author = copyright = "The isoloss authors"
version = release = isoloss.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "reference_pages"]
# Written by hand for readers of a checkout, where a page of the site serves the site's.
exclude_patterns = ["_site"]
html_theme = "furo"
html_title = "isoloss"
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_extra_path = ["llms.txt"]
html_show_sourcelink = True
html_copy_source = True

myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = -1  # a busy machine is no error
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

# Pages of a checkout that link out of docs/ mean files of the repository; pages yet to come may be globbed. Annotations
# name classes as a module sees them; two rooms have a class of the same name (Problem).
suppress_warnings = ["toc.empty_glob", "ref.python"]

# Every page repeats the contents of all pages: with each object in them a build takes twice as long.
toc_object_entries = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "undoc-members": False, "ignore-module-all": True}
# Annotations are all written as such: a search of comments parses every function again.
autodoc_use_type_comments = False
python_display_short_literal_types = True
python_maximum_signature_line_length = 100
