"""What the Hub is asked: each list of files once, as anybody would ask, and no more where it does not answer."""

from __future__ import annotations

from depthhub import hub
from depthhub.catalog import CatalogEntry
from depthhub.errors import DepthHubError, HubError
from depthhub.settings import Settings
from depthhub.transfer.remote import Listing

_TOO_MANY = 429
_PATIENCE = 3
"""Questions in a row without an answer, after which no more is asked."""


class Questions:
    """Lists of files, remembered, errors too. No token is sent: a pin is for everybody."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings._replace(token=False)
        self._answers: dict[tuple[str, str, str | None], Listing | DepthHubError] = {}
        self._unanswered = 0

    def listing(self, entry: CatalogEntry, revision: str | None) -> Listing:
        """The files of the entry's repository at a revision (None: main). Raises what `hub.list_files` raises."""
        question = (entry.repo_type, entry.repo_id, revision)
        if question not in self._answers:
            self._answers[question] = self._ask(entry, revision)
        answer = self._answers[question]
        if isinstance(answer, DepthHubError):
            raise answer
        return answer

    def _ask(self, entry: CatalogEntry, revision: str | None) -> Listing | DepthHubError:
        if self._unanswered >= _PATIENCE:
            return HubError("It was not asked: the Hub had no answer for those before.", source=entry.name)
        try:
            answer = hub.list_files(
                entry.repo_id, repo_type=entry.repo_type, revision=revision, settings=self._settings
            )
        except HubError as error:
            self._unanswered += _PATIENCE if error.status == _TOO_MANY else 1
            return error
        except DepthHubError as error:
            self._unanswered = 0
            return error
        self._unanswered = 0
        return answer
