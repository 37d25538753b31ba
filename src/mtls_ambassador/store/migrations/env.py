"""How Alembic runs our migrations: on the connection it is handed, inside its transaction."""

from alembic import context

from mtls_ambassador.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
