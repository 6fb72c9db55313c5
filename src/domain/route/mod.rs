//! The route language (DESIGN.md §5) and exact containment (§6).
