"""The store on PostgreSQL; `remit_adapters.postgres_store` opens it."""
