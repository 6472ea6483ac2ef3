"""`python -m tinygrad_edu`: the guided tour, and `python -m tinygrad_edu doctor`: the state of this machine.

Knows the command line only; the tour is in tour/, the diagnosis in doctor.py. A wrong argument ends with a usage error
and exit status 2, before anything has run.
"""
import argparse
import os
import sys


def tour_parser():
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_edu",
        description="A guided tour: from tensors to a trained network, in the terminal and in under 30 seconds. "
                    "It writes its plots and a page that shows them to tour/ in the current folder.",
        epilog="python -m tinygrad_edu doctor [-h]   what this machine has, what works, and how to mend the rest",
        allow_abbrev=False)
    parser.add_argument("--device", metavar="DEVICE", help="compute on this device (default: the best there is)")
    parser.add_argument("--no-plots", action="store_true", help="write no plots and no page")
    return parser


def main(argv=None):
    """Run the tour or the doctor; the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] == ["doctor"]:
        from . import doctor
        return doctor.main(argv[1:])
    parser = tour_parser()
    arguments = parser.parse_args(argv)
    if arguments.device is not None:
        refuse_unusable(arguments.device, parser)
    from . import tour
    try:
        return tour.run(device=arguments.device, plots=not arguments.no_plots)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except BrokenPipeError:                        # whoever reads this has read enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def refuse_unusable(device, parser):
    """A usage error, with the library's own sentence, for a device that does not exist or cannot compute."""
    import tinygrad_edu
    try:
        tinygrad_edu.zeros(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:
        parser.error(f"argument --device: {error}")


if __name__ == "__main__":
    sys.exit(main())
