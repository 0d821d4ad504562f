"""Entry points: `uvicorn app.main:app` and `streamlit run app/frontend.py`."""
