import sys

from dagcall.cli.main import main

sys.exit(main())
