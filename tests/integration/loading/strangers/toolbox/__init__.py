from .arithmetic import scale

__all__ = ["scale"]
