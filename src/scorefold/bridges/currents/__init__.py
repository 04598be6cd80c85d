"""Bridges whose reference moves with a current: given, or learned from the snapshots."""
