"""torch.optim: rules by which parameters change."""
from .optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from .adam import Adam, AdamW
from .sgd import SGD
from . import lr_scheduler
