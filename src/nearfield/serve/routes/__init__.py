"""All routes, by what they are about. `ALL` is the API; a path is looked for in this order, so that searches come first."""

from nearfield.serve.route import Route
from nearfield.serve.routes import (
    answers,
    collections,
    documents,
    duplicates,
    files,
    health,
    jobs,
    models,
    page,
    pictures,
    reembedding,
    searching,
    tiers,
)

ALL: tuple[Route, ...] = (
    *searching.ROUTES,
    *health.ROUTES,
    *collections.ROUTES,
    *documents.ROUTES,
    *duplicates.ROUTES,
    *files.ROUTES,
    *pictures.ROUTES,
    *tiers.ROUTES,
    *jobs.ROUTES,
    *reembedding.ROUTES,
    *models.ROUTES,
    *answers.ROUTES,
    *page.ROUTES,
)
