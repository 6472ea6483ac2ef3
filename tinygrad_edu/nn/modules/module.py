"""torch's address of Module and of the hooks common to all modules; they live in nn/module.py and nn/hooks.py."""
from __future__ import annotations

from ..hooks import (register_module_forward_hook, register_module_forward_pre_hook, register_module_full_backward_hook,
                     register_module_full_backward_pre_hook)
from ..module import Module

__all__ = ["Module", "register_module_forward_hook", "register_module_forward_pre_hook",
           "register_module_full_backward_hook", "register_module_full_backward_pre_hook"]
