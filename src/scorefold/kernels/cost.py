"""Which way to sum very many kernels is the faster one."""

def truncation_pays(mixture, x):
    return False
