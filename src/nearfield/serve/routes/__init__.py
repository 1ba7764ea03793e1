"""All routes, by what they are about. `ALL` is the API; a path is looked for in this order, so that searches come first."""

from nearfield.serve.route import Route
from nearfield.serve.routes import collections, documents, health, jobs, models, page, searching, tiers

ALL: tuple[Route, ...] = (
    *searching.ROUTES,
    *health.ROUTES,
    *collections.ROUTES,
    *documents.ROUTES,
    *tiers.ROUTES,
    *jobs.ROUTES,
    *models.ROUTES,
    *page.ROUTES,
)
