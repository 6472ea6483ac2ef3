"""torch.autograd.function: the names under which torch keeps Function and its decorator."""
from ..core.function import Function, once_differentiable
from ..core.function import FunctionNode as FunctionCtx

__all__ = ["Function", "FunctionCtx", "once_differentiable"]
