"""Adds files of the repository to the site, where pages of docs/ link to them.

Links stay relative to the repository, so that they work there as well. In the site the files are
below `repository/`, and the Markdown files among them are pages.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
DOCS, ADDED = "docs/", "repository/"
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds each file that a page links to, and so on from the pages among those."""
    pages = [file.src_uri for file in files.documentation_pages()]
    while pages:
        page = pages.pop()
        text = (ROOT / repository_path(page)).read_text(encoding="utf-8")
        for link in LINK.findall(text):
            source = resolved(page, link)
            uri = site_path(source)
            if not uri.startswith(ADDED) or uri in files.src_uris or not (ROOT / source).is_file():
                continue
            files.append(File.generated(config, uri, abs_src_path=str(ROOT / source)))
            if uri.endswith(".md"):
                pages.append(uri)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links out of docs/ to the files that were added."""
    folder = posixpath.dirname(page.file.src_uri) or "."

    def moved(match: re.Match[str]) -> str:
        target = site_path(resolved(page.file.src_uri, match[1]))
        return posixpath.relpath(target, folder)

    return LINK.sub(moved, markdown)


def repository_path(uri: str) -> str:
    """The path in the repository of a file of the site."""
    return uri.removeprefix(ADDED) if uri.startswith(ADDED) else DOCS + uri


def site_path(path: str) -> str:
    """The path in the site of a file of the repository."""
    return path.removeprefix(DOCS) if path.startswith(DOCS) else ADDED + path


def resolved(page: str, link: str) -> str:
    """The path in the repository that a page's link leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(repository_path(page)), link))
