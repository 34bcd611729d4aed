"""The public test kit: what others need to test their own parts against dagcall's promises."""
