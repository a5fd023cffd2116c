"""Alerts: what a saved search finds among new segments is delivered to a program or a web address of the user.

Where alerts lead is never part of an index, which may come from someone else: it is in the user's own state folder.
"""

from wave_search.alerts.book import Alert, AlertBook, Target, parse_command, parse_webhook
from wave_search.alerts.run import AlertReport, follow_index, run_alerts, set_alert

__all__ = [
    "Alert",
    "AlertBook",
    "AlertReport",
    "Target",
    "follow_index",
    "parse_command",
    "parse_webhook",
    "run_alerts",
    "set_alert",
]
