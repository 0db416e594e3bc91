# One image for web, workers, beat and migrations; the target "try" adds a mail server for trying them.
FROM python:3.12-slim-bookworm AS app
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /srv/mailbound
COPY requirements.lock .
RUN pip install --require-hashes -r requirements.lock
COPY . .
# Compiled here, because nobody may write into the image later. The keys are only there so that settings load; nothing
# of them stays in the image.
RUN python -m compileall -q . \
    && SECRET_KEY=build MAIL_SECRET_KEYS=build python manage.py collectstatic --noinput --verbosity 0 \
    && useradd --system --create-home mailbound && mkdir /bodies && chown mailbound /bodies
USER mailbound
EXPOSE 8000
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "--threads", "40", "--graceful-timeout", "3", "--no-control-socket", \
     "--worker-tmp-dir", "/dev/shm", "config.wsgi"]

FROM app AS try
USER root
RUN apt-get update -q && apt-get install -y -q --no-install-recommends dovecot-imapd && rm -rf /var/lib/apt/lists/*
RUN mkdir /mail && chown mailbound /mail
USER mailbound
VOLUME /mail
CMD ["python", "-m", "demo.mailhost", "/mail"]

# The last stage is what `docker build` makes without a target.
FROM app
